-- Leases that nobody has taken yet.
INSERT INTO annals.leases (projection, lease)
SELECT $1, n.lease FROM unnest($2::text[]) AS n (lease)
WHERE NOT EXISTS (SELECT FROM annals.leases AS l WHERE l.projection = $1 AND l.lease = n.lease)
ON CONFLICT DO NOTHING
