#pragma once
#define LAYERS 40
int glaze(int kind);
