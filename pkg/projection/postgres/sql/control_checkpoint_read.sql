-- How far the tables have come with the control stream.
SELECT log_id, log_epoch, sequence, commit_id
FROM annals.control_checkpoint
