-- One more provider type: Google's Gemini API by its own protocol.
ALTER TABLE providers DROP CONSTRAINT providers_type_check;
ALTER TABLE providers ADD CONSTRAINT providers_type_check CHECK (type IN (
    'OpenAI', 'Anthropic', 'Bedrock', 'AzureOpenAI', 'DashScope', 'Qianfan', 'Gemini', 'Ollama', 'VLLM',
    'OpenAICompatible'));
