-- +goose Up
-- Each index says which queries it is for.
COMMENT ON INDEX annals.projections_pkey IS 'A projection is there once. The next generation''s number, when one is made.';
COMMENT ON INDEX annals.generations_pkey IS 'A generation is there once. annals.visible, by which each view finds out whether it is live; the projector''s look at its version.';
COMMENT ON INDEX annals.one_live_generation IS 'At most one is live. Every query of the checkpoints or the quarantine of what readers see.';
COMMENT ON INDEX annals.one_building_generation IS 'At most one is being made. What a rebuild goes on with; heal, which mends there too.';
COMMENT ON INDEX annals.checkpoints_pkey IS 'A checkpoint is there once. The projector''s compare-and-set; waits for what queries must include; status.';
COMMENT ON INDEX annals.members_pkey IS 'A process is there once. The renewal of its leases; status.';
COMMENT ON INDEX annals.leases_pkey IS 'A lease is there once. Taking, renewing and giving it up; status.';
COMMENT ON INDEX annals.quarantine_pkey IS 'A subject is there once. The projector, which passes over what is quarantined, and counts it; heal; quarantine, in order.';
COMMENT ON INDEX annals.quarantine_by_workflow IS 'describe, list and waits, which say what of a workflow is not in the tables.';
COMMENT ON INDEX annals.acknowledged_pkey IS 'A subject is there once a log. heal --acknowledge; a rebuild, which leaves out of its quarantine what was looked at.';
COMMENT ON INDEX annals.search_attributes_pkey IS 'An attribute is there once. The types that a list or count of a namespace is compiled with; search-attribute list.';
COMMENT ON INDEX annals.search_attribute_conflicts_pkey IS 'A conflict is there once. The keeper of the registry counts it; search-attribute list.';
COMMENT ON INDEX annals.control_checkpoint_pkey IS 'There is one. The keeper of the registry, which moves it.';
COMMENT ON INDEX annals.activity_heartbeats_pkey IS 'An activity has one. The keeper of heartbeats, which replaces older ones; describe, of activities that are pending.';
COMMENT ON INDEX annals.heartbeat_checkpoints_pkey IS 'A log has one. The keeper of heartbeats, which moves it.';

-- +goose Down
COMMENT ON INDEX annals.projections_pkey IS NULL;
COMMENT ON INDEX annals.generations_pkey IS NULL;
COMMENT ON INDEX annals.one_live_generation IS NULL;
COMMENT ON INDEX annals.one_building_generation IS NULL;
COMMENT ON INDEX annals.checkpoints_pkey IS NULL;
COMMENT ON INDEX annals.members_pkey IS NULL;
COMMENT ON INDEX annals.leases_pkey IS NULL;
COMMENT ON INDEX annals.quarantine_pkey IS NULL;
COMMENT ON INDEX annals.quarantine_by_workflow IS NULL;
COMMENT ON INDEX annals.acknowledged_pkey IS NULL;
COMMENT ON INDEX annals.search_attributes_pkey IS NULL;
COMMENT ON INDEX annals.search_attribute_conflicts_pkey IS NULL;
COMMENT ON INDEX annals.control_checkpoint_pkey IS NULL;
COMMENT ON INDEX annals.activity_heartbeats_pkey IS NULL;
COMMENT ON INDEX annals.heartbeat_checkpoints_pkey IS NULL;
