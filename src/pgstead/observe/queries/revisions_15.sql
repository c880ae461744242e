SELECT version_num AS revision FROM public.alembic_version ORDER BY version_num
