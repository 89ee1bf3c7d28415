"""What a frozen encoder is worth: linear evaluation and nearest neighbours."""
