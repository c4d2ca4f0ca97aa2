-- What queries of a namespace ($1) can ask for: the search attributes that it has
-- registered, and how the live tables of the projection $2 keep events.
SELECT 'attribute', name, type FROM annals.search_attributes WHERE namespace = $1
UNION ALL
SELECT 'events', '', mode FROM annals.generations WHERE projection = $2 AND state = 'live'
