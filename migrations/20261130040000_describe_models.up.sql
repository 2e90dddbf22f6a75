-- What a model is made of and may be used for. Rows of an earlier release have none of it until their models
-- are reconciled, which each start of a controller does.
ALTER TABLE models
    ADD COLUMN base_model           text,
    ADD COLUMN embedding_dimensions bigint CHECK (embedding_dimensions > 0),
    ADD COLUMN input_modalities     jsonb NOT NULL DEFAULT '[]',
    ADD COLUMN output_modalities    jsonb NOT NULL DEFAULT '[]',
    ADD COLUMN limits               jsonb NOT NULL DEFAULT '[]',
    ADD COLUMN shown_labels         jsonb NOT NULL DEFAULT '{}';
COMMENT ON COLUMN models.base_model IS 'The vendor''s model behind a deployment, a fine-tune or a local name.';
COMMENT ON COLUMN models.shown_labels IS 'Labels of the object that the read API shows.';
