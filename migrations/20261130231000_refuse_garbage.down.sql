ALTER TABLE credential_versions
    DROP CONSTRAINT credential_versions_allowed_hosts_check,
    DROP CONSTRAINT credential_versions_field_fingerprints_check;
ALTER TABLE model_classes DROP CONSTRAINT model_classes_prefer_check;
ALTER TABLE model_classes DROP CONSTRAINT model_classes_deleted_at_check;
ALTER TABLE models DROP CONSTRAINT models_deleted_at_check;
ALTER TABLE credentials DROP CONSTRAINT credentials_deleted_at_check;
ALTER TABLE endpoints DROP CONSTRAINT endpoints_deleted_at_check;
ALTER TABLE providers DROP CONSTRAINT providers_deleted_at_check;
