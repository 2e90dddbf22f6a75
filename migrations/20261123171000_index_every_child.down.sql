DROP INDEX endpoints_provider, credentials_provider, models_provider;
CREATE INDEX endpoints_provider ON endpoints (provider_uid) WHERE deleted_at IS NULL;
CREATE INDEX credentials_provider ON credentials (provider_uid) WHERE deleted_at IS NULL;
CREATE INDEX models_provider ON models (provider_uid) WHERE deleted_at IS NULL;
