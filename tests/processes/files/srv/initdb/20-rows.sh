for id in 1 2 3; do echo "INSERT INTO kiln VALUES ($id, 'glaze $id');"; done | sql --dbname "$POSTGRES_DB"
