-- Rows by the key-encryption key that wraps them, in the order in which they are wrapped anew.
DROP INDEX credential_versions_kek;
CREATE INDEX credential_versions_kek ON credential_versions (kek_id, credential_uid, version) WHERE state <> 'Destroyed';

CREATE TABLE rewrap (
    only_row     boolean     PRIMARY KEY DEFAULT true CHECK (only_row),
    active_kek   text        NOT NULL,
    active_since timestamptz NOT NULL DEFAULT now(),
    started_at   timestamptz,
    ended_at     timestamptz CHECK (ended_at IS NULL OR started_at IS NOT NULL),
    rewrapped    bigint      NOT NULL DEFAULT 0
);
COMMENT ON TABLE rewrap IS 'At most one row: the key-encryption key that the controller knows as the active one, and how far re-wrapping under it has come.';
COMMENT ON COLUMN rewrap.rewrapped IS 'Versions that were wrapped anew since started_at.';

CREATE TABLE lost_keks (
    kek_id  text        PRIMARY KEY CHECK (kek_id ~ '^[0-9a-f]{16}$'),
    lost_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE lost_keks IS 'Key-encryption keys that an operator has declared lost: what they wrap is sealed anew from its Secret. A row goes when nothing is left under its key.';

GRANT SELECT, INSERT, UPDATE ON rewrap TO llmplane_controller;
GRANT SELECT, INSERT, DELETE ON lost_keks TO llmplane_controller;
