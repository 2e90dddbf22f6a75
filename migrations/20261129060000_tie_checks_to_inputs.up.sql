-- What checks find at an endpoint is so for what they were made with: the provider's type, the URL, the
-- region, the API version, the headers, the certificates. Of an earlier release: unknown, so that
-- what was found before counts for nothing until it is found again.
ALTER TABLE endpoints ADD COLUMN check_inputs text NOT NULL DEFAULT '';
COMMENT ON COLUMN endpoints.check_inputs IS 'A hash of what calls to this endpoint are made with. What a check found with others says nothing.';
