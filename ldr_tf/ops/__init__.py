"""Operations on volumes and flows, for any batch size and any volume size."""
