ALTER TABLE providers DROP COLUMN verified_with;
ALTER TABLE endpoints DROP COLUMN verified_with;
ALTER TABLE credentials DROP COLUMN verified_with;
ALTER TABLE models DROP COLUMN verified_with;
