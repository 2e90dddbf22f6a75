CREATE TABLE keyring_check (
    singleton       boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    fingerprint_key bytea   NOT NULL
);
COMMENT ON TABLE keyring_check IS 'An HMAC of a constant under the keyring''s fingerprint.key, by which another key shows.';
GRANT SELECT, INSERT ON keyring_check TO llmplane_controller;
