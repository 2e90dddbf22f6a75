ALTER TABLE providers ADD COLUMN sync_verdict jsonb;
