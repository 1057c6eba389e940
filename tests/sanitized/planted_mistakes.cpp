// Makes the mistake that its argument names, where no compiler can see it coming.
#include <cstdio>
#include <limits>
#include <string>

int main(int count, char** arguments) {
  const std::string mistake = count == 2 ? arguments[1] : "";
  volatile int four = 4;
  volatile int result = 0;
  if (mistake == "heap") {
    int* const numbers = new int[4]();
    result = numbers[four];
    delete[] numbers;
  } else if (mistake == "freed") {
    int* const number = new int(four);
    delete number;
    result = *number;
  } else if (mistake == "leak") {
    [[maybe_unused]] int* volatile number = new int(four);
    number = nullptr;
    return 0;  // Found when the program ends.
  } else if (mistake == "signed") {
    result = std::numeric_limits<int>::max() - 3 + four;
  } else if (mistake == "index") {
    const int numbers[4] = {};
    result = numbers[four];
  }
  std::printf("nothing noticed: %d\n", result);
  return 0;
}
