// Rows as the API shows them (docs/openapi.json), as far as this page shows them.

export const KINDS = ['LlmProvider', 'LlmEndpoint', 'LlmCredential', 'LlmModel', 'LlmModelClass'] as const;
export type Kind = (typeof KINDS)[number];

export interface Condition {
  type: string;
  status: 'True' | 'False' | 'Unknown';
  reason: string;
  message: string;
  lastTransitionTime: string;
}

/** What a check found. */
export interface Found<Word extends string> {
  state: Word | 'unknown';
  since: string | null;
  reason: string;
}

export interface Row {
  id: string;
  namespace: string;
  name: string;
  is_active: boolean;
  created_at: string;
  updated_at: string;
  conditions: Condition[];
}

export interface Provider extends Row {
  type: string;
  display_name: string | null;
  description: string | null;
}

export interface Endpoint extends Row {
  provider_id: string;
  display_name: string | null;
  base_url: string;
  api_version: string | null;
  region: string | null;
  timeout_connect: number;
  timeout_read: number;
  retry_count: number;
  retry_interval_ms: number;
  is_default: boolean;
  priority: number;
  health: Found<'healthy' | 'unhealthy'>;
}

export interface KeyVersion {
  version: number;
  fingerprint: string;
  state: string;
  since: string;
}

/** Vendors that exchange tokens of a ServiceAccount for their own. */
export const EXCHANGERS = {
  open_ai: 'OpenAI',
  anthropic: 'Anthropic',
  aws: 'AWS',
  entra: 'Microsoft Entra',
  google: 'Google',
  open_router: 'OpenRouter',
} as const;

/** By what agreement a vendor does; it is one of them. There is no key. */
export interface Federation extends Partial<Record<keyof typeof EXCHANGERS, Record<string, unknown> | null>> {
  service_account_ref: { name: string };
  audience: string;
}

export interface Credential extends Row {
  provider_id: string;
  endpoint_ids: string[];
  alias: string | null;
  description: string | null;
  masked_key: string | null;
  fingerprint: string | null;
  version: number | null;
  versions: KeyVersion[];
  expires_at: string | null;
  quota_limit: number | null;
  quota_unit: string | null;
  quota_period: string | null;
  priority: number;
  validity: Found<'valid' | 'invalid'>;
  federation: Federation | null;
}

export interface Capability {
  name: string;
  score: number | null;
}

/** Prices of 1,000 tokens, decimal numbers; null: unknown. */
export interface TokenPrices {
  input_price: string | null;
  output_price: string | null;
  cache_read_price: string | null;
  cache_write_price: string | null;
  reasoning_price: string | null;
  audio_input_price: string | null;
  audio_output_price: string | null;
  batch_input_price: string | null;
  batch_output_price: string | null;
}

/** Prices of calls with at least so many tokens of prompt, in the place of all others of tokens. */
export interface PriceTier extends TokenPrices {
  from_input_tokens: number;
}

export interface Limit {
  unit: 'Requests' | 'Tokens' | 'InputTokens' | 'OutputTokens' | 'ConcurrentRequests';
  limit: number;
  period: string | null;
}

export interface Model extends Row, TokenPrices {
  provider_id: string;
  endpoint_ids: string[];
  model_id: string;
  display_name: string | null;
  version: string | null;
  type: string | null;
  context_window: number | null;
  max_input_tokens: number | null;
  max_output_tokens: number | null;
  currency: string | null;
  image_price: string | null;
  request_price: string | null;
  price_tiers: PriceTier[];
  limits: Limit[];
  capabilities: Capability[];
  recommended_for: string[];
  default_parameters: Record<string, unknown> | null;
  status: string;
  base_model: string | null;
  embedding_dimensions: number | null;
  input_modalities: string[];
  output_modalities: string[];
  deprecated_at: string | null;
  retires_at: string | null;
  replacement_model_id: string | null;
  availability: Found<'available' | 'unavailable'>;
  origin: Record<string, string>;
}

export interface ClassNeed {
  capabilities: string[];
  min_score: number | null;
  min_context_window: number | null;
  min_output_tokens: number | null;
  max_input_price: string | null;
  max_output_price: string | null;
  currency: string | null;
  provider_types: string[];
  regions: string[];
  selector: Record<string, string>;
  exclude: string[];
  input_modalities: string[];
  output_modalities: string[];
  embedding_dimensions: number | null;
  recommended_for: string[];
  /** A typical call, which prices are compared for. */
  prompt_tokens: number | null;
  cached_tokens: number | null;
  output_tokens: number | null;
}

/** A name that agents ask for, and the model that it means now. */
export interface ModelClass extends Row {
  display_name: string | null;
  description: string | null;
  /** In order of preference; empty where `need` says what a model must be. */
  models: string[];
  need: ClassNeed | null;
  prefer: 'order' | 'price' | 'score' | 'context';
  allow_deprecated: boolean;
  current: { model: string; endpoint: string } | null;
  candidates: number;
  availability: Found<'available' | 'unavailable'>;
}

export interface Rows {
  LlmProvider: Provider;
  LlmEndpoint: Endpoint;
  LlmCredential: Credential;
  LlmModel: Model;
  LlmModelClass: ModelClass;
}

export interface Probe {
  checked_at: string;
  latency_ms: number;
  success: boolean | null;
  reason: string;
  message: string;
  http_status: number | null;
  request_id: string | null;
}

export interface Holder {
  actor: string;
  pod: string | null;
  node: string | null;
  version: number;
  purpose: string | null;
  last_at: string;
  seq: number;
}

export interface AuditRow {
  seq: number;
  at: string;
  action: string;
  result: string;
  actor: string;
  pod: string | null;
  node: string | null;
  namespace: string | null;
  kind: string | null;
  name: string | null;
  credential_version: number | null;
  purpose: string | null;
  count: number;
}

export interface Considered {
  namespace: string;
  model: string;
  reason: string;
  detail: string | null;
}

export interface Target {
  model: string;
  endpoint: Endpoint;
  credential: Credential | null;
  credential_reason: string | null;
  exchange: Record<string, unknown> | null;
  langchain: { model_provider: string; model: string; kwargs: Record<string, unknown> };
}

/** What `POST /resolve` answers. */
export interface Answer {
  model: Model;
  targets: Target[];
  considered: Considered[];
  considered_omitted: number;
  revision: number;
}

/** An object that is declared and not in force: it has no row. */
export interface Refused {
  kind: string;
  namespace: string;
  name: string;
  reason: string;
  message: string;
  since: string | null;
}
