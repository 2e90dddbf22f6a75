ALTER TABLE providers DROP COLUMN declaration;
ALTER TABLE endpoints DROP COLUMN declaration;
ALTER TABLE credentials DROP COLUMN declaration;
ALTER TABLE models DROP COLUMN declaration;
