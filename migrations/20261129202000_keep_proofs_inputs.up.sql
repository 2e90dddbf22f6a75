-- The proof behind verified_generation is worth as long as what it was found with. Of an earlier
-- release: unknown, so that it counts for nothing until a check passes again.
ALTER TABLE providers ADD COLUMN verified_with text[] NOT NULL DEFAULT '{}';
ALTER TABLE endpoints ADD COLUMN verified_with text[] NOT NULL DEFAULT '{}';
ALTER TABLE credentials ADD COLUMN verified_with text[] NOT NULL DEFAULT '{}';
ALTER TABLE models ADD COLUMN verified_with text[] NOT NULL DEFAULT '{}';
