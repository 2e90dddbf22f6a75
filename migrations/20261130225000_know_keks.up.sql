-- A row that names a key which was never the active one was changed by somebody: it is told from one whose
-- key is missing for now.
CREATE TABLE known_keks (
    kek_id          text        PRIMARY KEY CHECK (kek_id ~ '^[0-9a-f]{16}$'),
    first_active_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE known_keks IS 'Key-encryption keys that were the active one at any time, as the controller noted it.';
INSERT INTO known_keks (kek_id)
    SELECT active_kek FROM rewrap WHERE active_kek ~ '^[0-9a-f]{16}$'
    UNION
    SELECT kek_id FROM credential_versions WHERE state <> 'Destroyed' AND kek_id ~ '^[0-9a-f]{16}$';

GRANT SELECT, INSERT ON known_keks TO llmplane_controller;
