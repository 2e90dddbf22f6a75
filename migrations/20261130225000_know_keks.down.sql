DROP TABLE known_keks;
