REVOKE SELECT ON listed_models FROM llmplane_api;
