-- What a sync concludes is said in the provider's conditions; nobody has written this column.
ALTER TABLE providers DROP COLUMN sync_verdict;
