-- Whether a member holds a lease now.
SELECT EXISTS (
    SELECT FROM annals.leases
    WHERE projection = $1 AND lease = $2 AND holder = $3 AND expires_at > clock_timestamp())
