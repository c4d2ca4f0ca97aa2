-- The projections of a database, with the version of their live tables; 0: none are.
SELECT p.name, coalesce(g.version, 0)
FROM annals.projections AS p
LEFT JOIN annals.generations AS g ON g.projection = p.name AND g.state = 'live'
ORDER BY p.name
