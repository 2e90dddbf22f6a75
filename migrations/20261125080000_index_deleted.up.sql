-- Deleted rows, page by page in the order of the read API's lists: by bytes, whatever the database's
-- collation is.
CREATE INDEX providers_deleted ON providers (namespace COLLATE "C", name COLLATE "C", uid) WHERE deleted_at IS NOT NULL;
CREATE INDEX endpoints_deleted ON endpoints (namespace COLLATE "C", name COLLATE "C", uid) WHERE deleted_at IS NOT NULL;
CREATE INDEX credentials_deleted ON credentials (namespace COLLATE "C", name COLLATE "C", uid) WHERE deleted_at IS NOT NULL;
CREATE INDEX models_deleted ON models (namespace COLLATE "C", name COLLATE "C", uid) WHERE deleted_at IS NOT NULL;
CREATE INDEX endpoints_deleted_of_provider ON endpoints (provider_uid, namespace COLLATE "C", name COLLATE "C", uid) WHERE deleted_at IS NOT NULL;
CREATE INDEX credentials_deleted_of_provider ON credentials (provider_uid, namespace COLLATE "C", name COLLATE "C", uid) WHERE deleted_at IS NOT NULL;
CREATE INDEX models_deleted_of_provider ON models (provider_uid, namespace COLLATE "C", name COLLATE "C", uid) WHERE deleted_at IS NOT NULL;
