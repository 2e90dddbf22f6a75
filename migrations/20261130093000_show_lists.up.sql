-- What vendors list is no secret. `llmplane plan` takes the API's account, and foresees with it what a model
-- would be.
GRANT SELECT ON listed_models TO llmplane_api;
