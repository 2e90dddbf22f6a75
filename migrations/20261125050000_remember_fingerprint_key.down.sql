DROP TABLE keyring_check;
