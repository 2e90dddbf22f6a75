-- A list says what there is at the URL it was read from. NULL: of an earlier release, that is, of
-- nobody knows where; it counts for nothing until it is read again.
ALTER TABLE listed_models ADD COLUMN url text;
COMMENT ON COLUMN listed_models.url IS 'The base URL that the list was read from. A list of another URL than the endpoint''s present one says nothing.';
