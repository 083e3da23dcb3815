"""Train by the paper's recipe or a faster one: one loop, exact resume. Import what you need from the modules."""
