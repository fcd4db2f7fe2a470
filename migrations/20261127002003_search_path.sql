-- In a schema of its own (ONCEWARD_SCHEMA), Onceward's sessions find its tables by their search path. The trigger's
-- function runs in the sessions of others too, such as an operator's.
do $$
begin
    if current_schema() <> 'public' then
        alter function count_transactions() set search_path from current;
    end if;
end;
$$;
