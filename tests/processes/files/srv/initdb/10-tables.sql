CREATE TABLE kiln (id int PRIMARY KEY, glaze text);
