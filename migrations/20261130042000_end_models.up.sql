-- The end of a model's life, as it is declared or the vendor announces it.
ALTER TABLE models
    ADD COLUMN deprecated_at        timestamptz,
    ADD COLUMN retires_at           timestamptz,
    ADD COLUMN replacement_model_id text;
