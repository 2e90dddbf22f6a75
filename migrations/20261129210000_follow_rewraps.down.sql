DROP TABLE lost_keks, rewrap;
DROP INDEX credential_versions_kek;
CREATE INDEX credential_versions_kek ON credential_versions (kek_id) WHERE state <> 'Destroyed';
