ALTER TABLE listed_models DROP COLUMN url;
