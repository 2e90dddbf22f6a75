-- What selectors of the read API are matched with. Rows of an earlier release have none until their
-- models are reconciled, which each start of a controller does.
ALTER TABLE models ADD COLUMN labels jsonb NOT NULL DEFAULT '{}';
COMMENT ON COLUMN models.labels IS 'Labels of the object: the first 64 by key.';
