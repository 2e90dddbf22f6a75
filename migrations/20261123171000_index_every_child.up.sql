-- By provider, whether deleted or not: an index of live rows alone looks to the planner, while a
-- table is empty, as good for any question about live rows, and a prepared statement keeps that plan
-- when the table has grown. Removing a provider asks for its children without such a condition too.
DROP INDEX endpoints_provider, credentials_provider, models_provider;
CREATE INDEX endpoints_provider ON endpoints (provider_uid);
CREATE INDEX credentials_provider ON credentials (provider_uid);
CREATE INDEX models_provider ON models (provider_uid);
