ALTER TABLE models
    DROP COLUMN deprecated_at,
    DROP COLUMN retires_at,
    DROP COLUMN replacement_model_id;
