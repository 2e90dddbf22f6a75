DROP FUNCTION llmplane_fn.count_needs(jsonb);
DROP FUNCTION llmplane_fn.forget_needs(integer);
DROP TABLE resolve_needs;
DELETE FROM retention WHERE table_name = 'resolve_needs';
ALTER TABLE retention
    DROP CONSTRAINT retention_table_name_check,
    ADD CONSTRAINT retention_table_name_check CHECK (table_name IN ('health_probes', 'audit_log', 'deleted_objects'));
COMMENT ON TABLE retention IS 'How long probes, audit rows, and objects that were deleted are kept. An administrator may change it.';
