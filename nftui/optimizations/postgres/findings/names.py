"""Names of server settings that people write into environments; a variable is only called inert where it means one."""

from __future__ import annotations

SETTING_NAMES = frozenset(
    """
    archive_command archive_mode archive_timeout autovacuum autovacuum_analyze_scale_factor
    autovacuum_analyze_threshold autovacuum_freeze_max_age autovacuum_max_workers autovacuum_naptime
    autovacuum_vacuum_cost_delay autovacuum_vacuum_cost_limit autovacuum_vacuum_insert_scale_factor
    autovacuum_vacuum_insert_threshold autovacuum_vacuum_scale_factor autovacuum_vacuum_threshold autovacuum_work_mem
    backend_flush_after bgwriter_delay bgwriter_flush_after bgwriter_lru_maxpages bgwriter_lru_multiplier
    checkpoint_completion_target checkpoint_flush_after checkpoint_timeout checkpoint_warning commit_delay
    commit_siblings compute_query_id cpu_index_tuple_cost cpu_operator_cost cpu_tuple_cost deadlock_timeout
    default_statistics_target dynamic_shared_memory_type effective_cache_size effective_io_concurrency
    from_collapse_limit fsync full_page_writes hash_mem_multiplier hot_standby hot_standby_feedback huge_page_size
    huge_pages idle_in_transaction_session_timeout idle_session_timeout io_combine_limit io_max_concurrency io_method
    io_workers jit join_collapse_limit listen_addresses lock_timeout log_autovacuum_min_duration log_checkpoints
    log_connections log_destination log_directory log_disconnections log_duration log_error_verbosity log_filename
    log_hostname log_line_prefix log_lock_waits log_min_duration_sample log_min_duration_statement
    log_min_error_statement log_min_messages log_parameter_max_length log_replication_commands log_rotation_age
    log_rotation_size log_statement log_temp_files log_timezone log_transaction_sample_rate logging_collector
    logical_decoding_work_mem maintenance_io_concurrency maintenance_work_mem max_connections max_files_per_process
    max_locks_per_transaction max_logical_replication_workers max_parallel_maintenance_workers max_parallel_workers
    max_parallel_workers_per_gather max_pred_locks_per_transaction max_prepared_transactions max_replication_slots
    max_slot_wal_keep_size max_stack_depth max_standby_streaming_delay max_sync_workers_per_subscription
    max_wal_senders max_wal_size max_worker_processes min_parallel_index_scan_size min_parallel_table_scan_size
    min_wal_size parallel_setup_cost parallel_tuple_cost random_page_cost seq_page_cost shared_buffers
    shared_memory_type shared_preload_libraries statement_timeout superuser_reserved_connections synchronous_commit
    synchronous_standby_names tcp_keepalives_count tcp_keepalives_idle tcp_keepalives_interval temp_buffers
    temp_file_limit track_activities track_activity_query_size track_commit_timestamp track_counts track_functions
    track_io_timing track_wal_io_timing transaction_timeout vacuum_buffer_usage_limit vacuum_cost_delay
    vacuum_cost_limit wal_buffers wal_compression wal_keep_segments wal_keep_size wal_level wal_log_hints
    wal_receiver_timeout wal_sender_timeout wal_sync_method wal_writer_delay wal_writer_flush_after work_mem
    """.split()  # noqa: SIM905  (a list of a hundred names is read better as text)
)
