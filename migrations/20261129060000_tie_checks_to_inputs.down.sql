ALTER TABLE endpoints DROP COLUMN check_inputs;
