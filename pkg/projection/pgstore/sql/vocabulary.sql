-- The search attributes that a namespace ($1) has registered.
SELECT name, type FROM annals.search_attributes WHERE namespace = $1
