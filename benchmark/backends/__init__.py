"""Everything that needs torch: target models, interventions, local explainers."""
