-- What a user declares of an object, as the export writes it. Rows of an earlier release have none until their
-- objects are reconciled, which each start of a controller does.
ALTER TABLE providers ADD COLUMN declaration jsonb NOT NULL DEFAULT '{}';
ALTER TABLE endpoints ADD COLUMN declaration jsonb NOT NULL DEFAULT '{}';
ALTER TABLE credentials ADD COLUMN declaration jsonb NOT NULL DEFAULT '{}';
ALTER TABLE models ADD COLUMN declaration jsonb NOT NULL DEFAULT '{}';
COMMENT ON COLUMN providers.declaration IS 'Labels, annotations and spec as declared, for the export alone.';
COMMENT ON COLUMN endpoints.declaration IS 'Labels, annotations and spec as declared, for the export alone.';
COMMENT ON COLUMN credentials.declaration IS 'Labels, annotations and spec as declared, for the export alone.';
COMMENT ON COLUMN models.declaration IS 'Labels, annotations and spec as declared, for the export alone.';
