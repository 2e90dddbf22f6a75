-- The release before knows no such provider: what belongs to one goes with it.
DELETE FROM listed_models WHERE endpoint_uid IN (
    SELECT e.uid FROM endpoints e JOIN providers p ON p.uid = e.provider_uid WHERE p.type = 'Gemini');
DELETE FROM credential_versions WHERE credential_uid IN (
    SELECT c.uid FROM credentials c JOIN providers p ON p.uid = c.provider_uid WHERE p.type = 'Gemini');
DELETE FROM models WHERE provider_uid IN (SELECT uid FROM providers WHERE type = 'Gemini');
DELETE FROM credentials WHERE provider_uid IN (SELECT uid FROM providers WHERE type = 'Gemini');
DELETE FROM endpoints WHERE provider_uid IN (SELECT uid FROM providers WHERE type = 'Gemini');
DELETE FROM providers WHERE type = 'Gemini';

ALTER TABLE providers DROP CONSTRAINT providers_type_check;
ALTER TABLE providers ADD CONSTRAINT providers_type_check CHECK (type IN (
    'OpenAI', 'Anthropic', 'Bedrock', 'AzureOpenAI', 'DashScope', 'Qianfan', 'Ollama', 'VLLM', 'OpenAICompatible'));
