-- Prices beside those of prompt and answer; NULL is unknown, never zero.
ALTER TABLE models
    ADD COLUMN cache_read_price   text,
    ADD COLUMN cache_write_price  text,
    ADD COLUMN reasoning_price    text,
    ADD COLUMN audio_input_price  text,
    ADD COLUMN audio_output_price text,
    ADD COLUMN batch_input_price  text,
    ADD COLUMN batch_output_price text,
    ADD COLUMN image_price        text,
    ADD COLUMN request_price      text,
    ADD COLUMN price_tiers        jsonb NOT NULL DEFAULT '[]';
COMMENT ON COLUMN models.price_tiers IS 'Prices of calls with longer prompts, by where they begin.';
