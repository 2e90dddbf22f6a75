ALTER TABLE models
    DROP COLUMN base_model,
    DROP COLUMN embedding_dimensions,
    DROP COLUMN input_modalities,
    DROP COLUMN output_modalities,
    DROP COLUMN limits,
    DROP COLUMN shown_labels;
